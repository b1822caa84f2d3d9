//! Beginning a conversation, for every command that has one.

use gimlet::Endpoint;
use gimlet_apps::chat::{Conversation, Options};

use crate::exit::Failure;
use crate::session::{Context, Found};

/// Finds a peer and asks it for a conversation.
pub(crate) async fn ask(
    context: &Context,
    endpoint: &Endpoint,
    peer: &str,
    asks: bool,
) -> Result<(Found, Conversation), Failure> {
    let found = context.find(endpoint, peer).await?;
    let name = context.settings.name.as_ref();
    let options = Options {
        name: name.map_or_else(String::new, ToString::to_string),
        asks,
    };
    let conversation = Conversation::ask(endpoint, found.peer, options).await;
    let conversation = conversation.map_err(|error| Failure::connect(error, &found.label))?;
    context.remember(peer, found.peer);
    Ok((found, conversation))
}
