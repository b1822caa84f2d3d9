//! A server's address line: whatever is accepted prints as a line that means the same.

use gimlet_proto::address::ServerAddress;

pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(address) = text.parse::<ServerAddress>() else {
        return;
    };
    let line = address.to_string();
    assert!(line.is_ascii() && line.len() < 600, "{line:?}");
    assert!(address.port != 0 && !address.host.is_empty());
    assert_eq!(line.parse(), Ok(address), "{line:?}");
}
