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
    Whoami,
    Punch(&'a str),
    Leave,
    Accept(&'a str),
    Deny(&'a str),
    Login,
    Logout,
    Exit,
}

/// What `help` prints.
pub(super) const HELP: &str = "\
help         this text
whoami       my id, my addresses as seen from outside, my NAT
list         who is online, and the sessions between them
punch PEER   connect to a peer by name or id; then what you type goes there
leave        end the conversation with that peer
accept PEER  take a request to connect, where you are asked; deny PEER turns it away
login        sign in to the server
logout       sign out; conversations go on
exit         leave the shell, as Ctrl-D does
A line that begins with a blank is always sent: ' list' says \"list\".";

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
        "list" => plain(Command::List, "list"),
        "whoami" => plain(Command::Whoami, "whoami"),
        "leave" => plain(Command::Leave, "leave"),
        "login" => plain(Command::Login, "login"),
        "logout" => plain(Command::Logout, "logout"),
        "exit" => plain(Command::Exit, "exit"),
        "punch" => with_peer(Command::Punch, "punch PEER"),
        "accept" => with_peer(Command::Accept, "accept PEER"),
        "deny" => with_peer(Command::Deny, "deny PEER"),
        _ => Line::Text(line),
    }
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
            ("list all", Line::Misused("list")),
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
            "help", "whoami", "list", "punch", "leave", "accept", "deny", "login", "logout", "exit",
        ] {
            assert!(HELP.contains(word));
            assert!(!matches!(parse(word), Line::Text(_)), "{word}");
        }
    }
}
