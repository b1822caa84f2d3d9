//! The table of contacts.

use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

#[test]
fn a_kept_name_means_its_key_until_it_is_removed() {
    let mut contacts = Contacts::default();
    contacts.keep(name("bob"), peer(1), 100).unwrap();
    assert_eq!(contacts.named("bob").unwrap().peer, peer(1));
    assert_eq!(contacts.name_of(peer(1)), Some(&name("bob")));
    let taken = contacts.keep(name("bob"), peer(2), 200);
    let (name, peer) = (name("bob"), peer(1));
    assert_eq!(
        taken,
        Err(KeepError::Taken {
            name: name.clone(),
            peer
        })
    );
    assert_eq!(contacts.remove(&name).unwrap().peer, peer);
    assert_eq!(contacts.named("bob"), None);
    assert_eq!(contacts.remove(&name), None);
}

#[test]
fn keeping_again_changes_nothing_and_a_key_may_have_two_names() {
    let mut contacts = Contacts::default();
    contacts.keep(name("bob"), peer(1), 100).unwrap();
    contacts.keep(name("bob"), peer(1), 200).unwrap();
    contacts.keep(name("anna"), peer(1), 300).unwrap();
    let names: Vec<_> = contacts
        .kept()
        .map(|contact| (contact.name.to_string(), contact.first_seen))
        .collect();
    assert_eq!(names, [("anna".to_owned(), 300), ("bob".to_owned(), 100)]);
}

#[test]
fn a_name_that_was_only_seen_is_no_contact() {
    let mut contacts = Contacts::default();
    contacts.see(name("bob"), peer(1), 100);
    assert_eq!(contacts.named("bob"), None);
    assert_eq!(contacts.name_of(peer(1)), None);
    assert_eq!(contacts.kept().count(), 0);
    contacts.keep(name("bob"), peer(2), 200).unwrap();
    assert_eq!(contacts.named("bob").unwrap().peer, peer(2));
}

#[test]
fn a_name_whose_key_changes_is_noticed() {
    let mut contacts = Contacts::default();
    let bob = name("bob");
    assert_eq!(contacts.judge(&bob, peer(1)), Judgement::New);
    contacts.see(bob.clone(), peer(1), 100);
    assert_eq!(contacts.judge(&bob, peer(1)), Judgement::Same);
    let Judgement::Changed { was } = contacts.judge(&bob, peer(2)) else {
        panic!("not noticed");
    };
    assert_eq!((was.peer, was.first_seen), (peer(1), 100));
    // Once the user says so, the new one is what is expected.
    contacts.see(bob.clone(), peer(2), 200);
    assert_eq!(contacts.judge(&bob, peer(2)), Judgement::Same);
}

#[test]
fn what_a_server_says_changes_no_kept_contact() {
    let mut contacts = Contacts::default();
    contacts.keep(name("bob"), peer(1), 100).unwrap();
    contacts.see(name("bob"), peer(2), 200);
    assert_eq!(contacts.named("bob").unwrap().peer, peer(1));
}

#[test]
fn the_table_is_bounded() {
    let mut contacts = Contacts::default();
    for n in 0..MAX_ENTRIES {
        contacts.see(name(&format!("n{n}")), peer(1), 0);
    }
    contacts.see(name("one-more"), peer(1), 0);
    assert_eq!(contacts.iter().count(), MAX_ENTRIES);
    let full = contacts.keep(name("one-more"), peer(1), 0);
    assert_eq!(full, Err(KeepError::Full));
    contacts.keep(name("n7"), peer(1), 0).unwrap();
}
