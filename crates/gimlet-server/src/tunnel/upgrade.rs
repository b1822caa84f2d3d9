//! The request that becomes a tunnel: a WebSocket's handshake (RFC 6455 section 4.2).

use axum::extract::Request;
use axum::http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The only version there is.
const VERSION: &str = "13";

/// Longest key: base64 of 16 bytes is 24 characters.
const MAX_KEY: usize = 24;

/// The answer, and the connection once that is sent; or the answer to what is no such request.
pub(super) fn accept(request: &mut Request) -> Result<(Response, OnUpgrade), StatusCode> {
    if request.method() != Method::GET {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let headers = request.headers();
    if !names(headers, UPGRADE, "websocket") || !names(headers, CONNECTION, "upgrade") {
        return Err(StatusCode::UPGRADE_REQUIRED);
    }
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() <= MAX_KEY);
    let (Some(key), true) = (key, names(headers, SEC_WEBSOCKET_VERSION, VERSION)) else {
        return Err(StatusCode::BAD_REQUEST);
    };
    let accepted = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    let accepted = accepted.map_err(|_| StatusCode::BAD_REQUEST)?;
    let headers = [
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_ACCEPT, accepted),
    ];
    let answer = (StatusCode::SWITCHING_PROTOCOLS, headers).into_response();
    Ok((answer, hyper::upgrade::on(request)))
}

/// Whether a header has this word in its list.
fn names(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter();
    let mut words = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    words.any(|found| found.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn judged(change: impl FnOnce(&mut Request)) -> Result<HeaderMap, StatusCode> {
        let mut request = Request::new(Body::empty());
        let headers = request.headers_mut();
        for (name, value) in [
            (UPGRADE, "h2c, WebSocket"),
            (CONNECTION, "keep-alive, Upgrade"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        change(&mut request);
        accept(&mut request).map(|(answer, _)| answer.headers().clone())
    }

    #[test]
    fn the_example_of_the_standard_is_answered_as_it_says() {
        // RFC 6455 section 1.3.
        let headers = judged(|_| ()).unwrap();
        assert_eq!(
            headers[SEC_WEBSOCKET_ACCEPT],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn other_requests_are_refused_each_in_its_way() {
        let post = judged(|request| *request.method_mut() = Method::POST);
        assert_eq!(post, Err(StatusCode::METHOD_NOT_ALLOWED));
        for (name, other, expected) in [
            (UPGRADE, "h2c", StatusCode::UPGRADE_REQUIRED),
            (CONNECTION, "close", StatusCode::UPGRADE_REQUIRED),
            (SEC_WEBSOCKET_VERSION, "8", StatusCode::BAD_REQUEST),
            (
                SEC_WEBSOCKET_KEY,
                "dGhlIHNhbXBsZSBub25jZQ==,",
                StatusCode::BAD_REQUEST,
            ),
        ] {
            let without = judged(|request| drop(request.headers_mut().remove(&name)));
            assert_eq!(without, Err(expected), "without {name}");
            let value = HeaderValue::from_static(other);
            let wrong = judged(|request| drop(request.headers_mut().insert(&name, value)));
            assert_eq!(wrong, Err(expected), "{name}: {other}");
        }
    }
}
