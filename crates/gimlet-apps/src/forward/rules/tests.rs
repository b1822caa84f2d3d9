//! Which destinations which rules allow.

use super::*;

fn rules(texts: &[&str]) -> Rules {
    Rules::new(texts.iter().map(|text| text.parse().expect(text)).collect())
}

fn allows(rules: &Rules, addr: &str) -> bool {
    rules.allow(None, addr.parse().expect(addr), false)
}

#[test]
fn by_default_the_internet_is_allowed_and_nothing_private() {
    let rules = Rules::default();
    for public in ["1.1.1.1:53", "93.184.216.34:80", "[2606:4700::1111]:443"] {
        assert!(allows(&rules, public), "{public}");
    }
    for not in [
        "127.0.0.1:80",
        "10.0.0.1:80",
        "172.16.0.1:80",
        "192.168.1.1:80",
        "100.64.0.1:80",
        "169.254.169.254:80",
        "0.0.0.0:80",
        "0.1.2.3:80",
        "192.0.0.8:80",
        "192.0.2.1:80",
        "198.18.0.1:80",
        "224.0.0.1:80",
        "240.0.0.1:80",
        "255.255.255.255:80",
        "[::]:80",
        "[::1]:80",
        "[fe80::1]:80",
        "[fd00::1]:80",
        "[ff02::1]:80",
        "[2001:db8::1]:80",
        "[2001::1]:80",
        "[2002:a00:1::]:80",
        "[64:ff9b::a00:1]:80",
        "[::ffff:10.0.0.1]:80",
        "[::ffff:127.0.0.1]:80",
    ] {
        assert!(!allows(&rules, not), "{not}");
    }
}

#[test]
fn an_address_of_the_exit_itself_is_not_the_internet() {
    let addr = "93.184.216.34:80".parse().unwrap();
    assert!(Rules::default().allow(None, addr, false));
    assert!(!Rules::default().allow(None, addr, true));
    assert!(!rules(&["private"]).allow(None, "10.0.0.1:1".parse().unwrap(), true));
    assert!(rules(&["any"]).allow(None, addr, true));
}

#[test]
fn rules_allow_what_they_name_and_nothing_else() {
    for (rule, allowed, not) in [
        ("10.0.0.0/8", "10.9.8.7:1", "11.0.0.1:1"),
        ("10.0.0.7", "10.0.0.7:1", "10.0.0.8:1"),
        ("10.0.0.0/8:22", "10.0.0.1:22", "10.0.0.1:23"),
        ("10.0.0.1:80-90", "10.0.0.1:90", "10.0.0.1:91"),
        ("0.0.0.0/0", "8.8.8.8:1", "[2606::1]:1"),
        ("fd00::/8", "[fd12::1]:1", "[fe00::1]:1"),
        ("[fd00::/8]:80", "[fd12::1]:80", "[fd12::1]:81"),
        ("private", "192.168.0.1:1", "127.0.0.1:1"),
        ("private:80", "[fd00::1]:80", "8.8.8.8:80"),
        ("any", "127.0.0.1:1", "224.0.0.1:1"),
        ("127.0.0.0/8", "[::ffff:127.0.0.1]:1", "[::1]:1"),
    ] {
        assert!(allows(&rules(&[rule]), allowed), "{rule}: {allowed}");
        assert!(!allows(&rules(&[rule]), not), "{rule}: {not}");
    }
    assert!(!allows(&rules(&[]), "1.1.1.1:1"));
    assert!(allows(&rules(&["public", "10.0.0.1"]), "10.0.0.1:1"));
}

#[test]
fn a_rule_for_a_name_allows_whatever_address_it_has() {
    let inside = "10.0.0.1:443".parse().unwrap();
    for (rule, name, allowed) in [
        ("intranet.example.org", "intranet.example.org", true),
        ("intranet.example.org", "Intranet.Example.Org.", true),
        ("intranet.example.org", "x.intranet.example.org", false),
        ("*.example.org", "a.b.example.org", true),
        ("*.example.org", "example.org", false),
        ("*.example.org", "badexample.org", false),
        ("*.example.org:443", "a.example.org", true),
        ("*.example.org:80", "a.example.org", false),
    ] {
        assert_eq!(
            rules(&[rule]).allow(Some(name), inside, false),
            allowed,
            "{rule} {name}"
        );
    }
    assert!(!rules(&["example.org"]).allow(None, inside, false));
}

#[test]
fn what_is_no_rule_is_refused() {
    for text in [
        "",
        "10.0.0.0/33",
        "10.0.0.0/x",
        "a b",
        "x/8",
        ":80",
        "h:90-80",
        "h:x",
        "[fd00::1",
        "[::]x",
        "fd00::/129",
        "*.",
    ] {
        assert!(text.parse::<Rule>().is_err(), "{text:?}");
    }
}

#[test]
fn a_rule_is_shown_as_it_can_be_read() {
    for text in [
        "public",
        "any:22",
        "10.0.0.0/8:1-9",
        "[fd00::/8]:80",
        "*.a.b",
        "h:1",
    ] {
        assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
    }
}
