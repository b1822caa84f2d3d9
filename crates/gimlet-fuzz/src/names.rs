//! Names and ids: one text each, and no other text for the same.

use gimlet_proto::id::PeerId;
use gimlet_proto::name::Name;

pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(name) = text.parse::<Name>() {
        assert_eq!(name.to_string(), text);
        assert!((1..=Name::MAX_LEN).contains(&text.len()) && text.is_ascii());
    }
    if let Ok(id) = text.parse::<PeerId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Some(bytes) = data.first_chunk::<32>() {
        let id = PeerId::from_bytes(*bytes);
        let text = id.to_string();
        assert_eq!(text.len(), PeerId::TEXT_LEN);
        assert_eq!(text.parse(), Ok(id));
        assert!(text.starts_with(&id.short()) && id.server_name().starts_with(&text));
        // An id may stand wherever a name may.
        assert!(text.parse::<Name>().is_ok());
    }
}
