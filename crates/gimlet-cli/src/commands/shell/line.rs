//! What a line typed into the shell means.
//!
//! A line whose first word is a command is a command, everything else goes to the peer. A leading
//! blank escapes a command word: ` list` sends "list".

/// One line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Nothing typed.
    Empty,
    /// A command.
    Command(Command<'a>),
    /// A command word with other arguments than it takes: how it is used.
    Misused(&'static str),
    /// Text for the peer.
    Text(&'a str),
}

/// The shell's commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Help,
    List,
    ListConnected,
    Whoami,
    Punch(&'a str),
    Request(&'a str),
    Message(&'a str, &'a str),
    Leave,
    Disconnect(&'a str),
    Accept(&'a str),
    Deny(&'a str),
    Login,
    Logout,
    Exit,
}

/// What `help` prints; it fits 80 columns.
pub(super) const HELP: &str = "\
help               this text
whoami             my id, my addresses as seen from outside, my NAT
list               who is online, and the sessions between them
list connected     whom I talk to
punch PEER         connect to a peer by name, id or IP:PORT from the list; then
                   what you type goes there
chat request PEER  the same, but its person is asked first
accept PEER        take a request, where you are asked; deny PEER turns it away
chat message PEER TEXT
                   say something to one of those you talk to
leave              end the conversation with whom you talk to
disconnect PEER    end the one with that peer
login              sign in to the server
logout             sign out; conversations go on
exit               leave the shell, as Ctrl-D does
A line that begins with a blank is always sent: ' list' says \"list\".";

/// How `chat` is used.
const CHAT: &str = "chat request PEER, chat accept PEER, chat deny PEER, chat message PEER TEXT";

/// Understands a line.
pub(super) fn parse<'a>(line: &'a str) -> Line<'a> {
    if let Some(text) = line.strip_prefix(' ') {
        return match text.trim().is_empty() {
            true => Line::Empty,
            false => Line::Text(text),
        };
    }
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else {
        return Line::Empty;
    };
    let (argument, more) = (words.next(), words.next());
    let plain = |command, usage| match argument {
        None => Line::Command(command),
        Some(_) => Line::Misused(usage),
    };
    let with_peer = |command: fn(&'a str) -> Command<'a>, usage| match (argument, more) {
        (Some(peer), None) => Line::Command(command(peer)),
        _ => Line::Misused(usage),
    };
    match first {
        "help" => plain(Command::Help, "help"),
        "list" => match (argument, more) {
            (None, _) => Line::Command(Command::List),
            (Some("connected"), None) => Line::Command(Command::ListConnected),
            (Some(_), _) => Line::Misused("list, or list connected"),
        },
        "chat" => chat(line).map_or(Line::Misused(CHAT), Line::Command),
        "whoami" => plain(Command::Whoami, "whoami"),
        "leave" => plain(Command::Leave, "leave"),
        "login" => plain(Command::Login, "login"),
        "logout" => plain(Command::Logout, "logout"),
        "exit" => plain(Command::Exit, "exit"),
        "disconnect" => with_peer(Command::Disconnect, "disconnect PEER"),
        "punch" => with_peer(Command::Punch, "punch PEER"),
        "accept" => with_peer(Command::Accept, "accept PEER"),
        "deny" => with_peer(Command::Deny, "deny PEER"),
        _ => Line::Text(line),
    }
}

/// What stands behind `chat`.
fn chat(line: &str) -> Option<Command<'_>> {
    let (_, rest) = word(line)?;
    let (what, rest) = word(rest)?;
    let (peer, text) = word(rest)?;
    match (what, text) {
        ("request", "") => Some(Command::Request(peer)),
        ("accept", "") => Some(Command::Accept(peer)),
        ("deny", "") => Some(Command::Deny(peer)),
        ("message", text) if !text.is_empty() => Some(Command::Message(peer, text)),
        _ => None,
    }
}

/// The first word, and what stands behind it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (!word.is_empty()).then_some((word, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_means_what_its_first_word_says() {
        for (line, meaning) in [
            ("", Line::Empty),
            (" ", Line::Empty),
            ("\t", Line::Empty),
            ("help", Line::Command(Command::Help)),
            ("list ", Line::Command(Command::List)),
            ("punch bob", Line::Command(Command::Punch("bob"))),
            ("punch", Line::Misused("punch PEER")),
            ("punch a b", Line::Misused("punch PEER")),
            ("list all", Line::Misused("list, or list connected")),
            ("list connected", Line::Command(Command::ListConnected)),
            ("disconnect bob", Line::Command(Command::Disconnect("bob"))),
            ("chat request bob", Line::Command(Command::Request("bob"))),
            ("chat accept bob", Line::Command(Command::Accept("bob"))),
            ("chat deny bob", Line::Command(Command::Deny("bob"))),
            (
                "chat  message bob two  words",
                Line::Command(Command::Message("bob", "two  words")),
            ),
            ("chat message bob", Line::Misused(CHAT)),
            ("chat", Line::Misused(CHAT)),
            ("chat request a b", Line::Misused(CHAT)),
            ("chatter", Line::Text("chatter")),
            (" list all", Line::Text("list all")),
            (" punch bob", Line::Text("punch bob")),
            ("  two", Line::Text(" two")),
            ("hello there", Line::Text("hello there")),
            ("Help", Line::Text("Help")),
            ("helpful", Line::Text("helpful")),
        ] {
            assert_eq!(parse(line), meaning, "{line:?}");
        }
    }

    #[test]
    fn help_names_every_command() {
        for word in [
            "help",
            "whoami",
            "list",
            "punch",
            "chat",
            "leave",
            "disconnect",
            "accept",
            "deny",
            "login",
            "logout",
            "exit",
        ] {
            assert!(HELP.contains(word));
            assert!(!matches!(parse(word), Line::Text(_)), "{word}");
        }
        assert!(HELP.lines().all(|line| line.len() <= 80));
    }
}
