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
    let conversation = ask_found(context, endpoint, (peer, &found), asks).await?;
    Ok((found, conversation))
}

/// Asks a peer for a conversation that was found as what somebody typed.
pub(crate) async fn ask_found(
    context: &Context,
    endpoint: &Endpoint,
    (typed, found): (&str, &Found),
    asks: bool,
) -> Result<Conversation, Failure> {
    let name = context.settings.name.as_ref();
    let options = Options {
        name: name.map_or_else(String::new, ToString::to_string),
        asks,
    };
    let conversation = Conversation::ask(endpoint, found.peer, options).await;
    let conversation = conversation.map_err(|error| Failure::connect(error, &found.label))?;
    context.remember(typed, found.peer);
    Ok(conversation)
}
