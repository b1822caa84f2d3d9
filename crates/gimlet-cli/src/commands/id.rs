//! `gimlet id`: my peer id.

use std::fmt;

use serde::Serialize;

use crate::exit::{Outcome, Status};
use crate::session::Context;

#[derive(Serialize)]
struct Report {
    peer: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.peer)
    }
}

pub(super) fn run(context: &Context) -> Outcome {
    let peer = context.identity()?.peer_id().to_string();
    context.output.print(&Report { peer })?;
    Ok(Status::Done)
}
