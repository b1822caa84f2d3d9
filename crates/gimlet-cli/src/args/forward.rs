//! Arguments of `expose`, `forward` and `socks`.

use clap::Args;
use gimlet_apps::forward::{Place, Rule};

use super::AcceptArgs;

#[derive(Debug, Default, Args)]
pub(crate) struct ExposeArgs {
    /// A service's name and where it is: PORT, ADDR:PORT or unix:/path, with udp: before it where it
    /// is UDP; repeatable, besides [expose] of the configuration
    #[arg(value_names = ["NAME", "ADDR:PORT"], num_args = 0..)]
    pub(crate) services: Vec<String>,
    /// The services are UDP
    #[arg(long)]
    pub(crate) udp: bool,
    /// Only this peer may use the services, or the one named (`socks` is the way out); repeatable
    #[arg(long, value_name = "[NAME=]PEER")]
    pub(crate) allow: Vec<String>,
    /// Be a way out: whoever may connect reaches the internet from here, and nothing private
    #[arg(long)]
    pub(crate) socks: bool,
    /// What the way out leads to instead: public, private, any, ADDR/BITS or a host name, with :PORT or
    /// :FROM-TO; repeatable
    #[arg(long, value_name = "RULE", requires = "socks")]
    pub(crate) socks_allow: Vec<Rule>,
    #[command(flatten)]
    pub(crate) accept: AcceptArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ForwardArgs {
    /// Where to listen (PORT, ADDR:PORT or unix:/path, with udp: before it for UDP), and the service it
    /// leads to; repeatable
    #[arg(value_names = ["LOCAL", "PEER/NAME"], num_args = 2.., required = true)]
    pub(crate) pairs: Vec<String>,
    /// Listen for UDP
    #[arg(long)]
    pub(crate) udp: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SocksArgs {
    /// Where to listen: PORT or ADDR:PORT. Whoever reaches it may use it
    pub(crate) local: Place,
    /// Name, id, or beginning of an id
    pub(crate) peer: String,
}
