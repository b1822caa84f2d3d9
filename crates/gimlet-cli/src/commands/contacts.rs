//! `gimlet contacts`: the peers this user knows by name.

use std::fmt;

use gimlet_apps::contacts::{Contact, How};
use serde::Serialize;

use crate::args::{ContactsAction, ContactsArgs};
use crate::exit::{Failure, Outcome, Status};
use crate::output::Table;
use crate::people;
use crate::session::Context;

/// A contact as it is printed.
#[derive(Serialize)]
struct Entry {
    name: String,
    peer: String,
    first_seen_s: u64,
    how: &'static str,
}

impl From<&Contact> for Entry {
    fn from(contact: &Contact) -> Self {
        Self {
            name: contact.name.to_string(),
            peer: contact.peer.to_string(),
            first_seen_s: contact.first_seen,
            how: match contact.how {
                How::Kept => "kept",
                How::Seen => "seen",
            },
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.name, self.peer)
    }
}

pub(super) fn run(context: &Context, args: &ContactsArgs) -> Outcome {
    match &args.action {
        Some(ContactsAction::Add { name, id }) => {
            let kept = context.keep(name, *id)?;
            context.output.print(&Entry::from(&kept))?;
            Ok(Status::Done)
        }
        Some(ContactsAction::Remove { name }) => {
            let removed = context.contacts()?.change(|contacts| {
                let removed = contacts.remove(name);
                removed.ok_or_else(|| anyhow::anyhow!("there is no contact {name}"))
            });
            let failed = |error| Failure::new(Status::Failed, error);
            let removed = removed.map_err(|error| failed(error.into()))?;
            let removed = removed.map_err(failed)?;
            context.output.print(&Entry::from(&removed))?;
            Ok(Status::Done)
        }
        Some(ContactsAction::List { all }) => list(context, *all),
        None => list(context, false),
    }
}

fn list(context: &Context, all: bool) -> Outcome {
    let contacts = context.all_contacts()?;
    let wanted = contacts
        .iter()
        .filter(|contact| all || contact.how == How::Kept);
    if context.output.is_json() {
        for contact in wanted {
            context.output.print(&Entry::from(contact))?;
        }
        return Ok(Status::Done);
    }
    let mut table = Table::new(&["name", "id", "since", "how"]);
    let mut any = false;
    for contact in wanted {
        any = true;
        table.row(vec![
            contact.name.to_string(),
            contact.peer.to_string(),
            people::day(contact.first_seen),
            contact.how.to_string(),
        ]);
    }
    match any {
        true => context.output.text(&table)?,
        false => context
            .output
            .note("No contacts yet. `gimlet contacts add NAME ID` keeps one."),
    }
    Ok(Status::Done)
}
