//! First stage of the command line: what was typed, as clap reads it.

mod files;
mod forward;
mod people;
mod talk;

use std::net::{AddrParseError, IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use gimlet::{Name, Proxy, ServerAddress};
use gimlet_server::TlsPort;
use serde::Deserialize;

pub(crate) use files::{RecvArgs, SendArgs};
pub(crate) use forward::{ExposeArgs, ForwardArgs, SocksArgs};
pub(crate) use people::{CodeArgs, ContactsAction, ContactsArgs, LanAction, LanArgs};
pub(crate) use talk::{AliveArgs, PublishArgs, SubscribeArgs};

const AFTER_HELP: &str = "\
Start: `gimlet serve` on a machine that both sides reach prints an address line.
Then `gimlet up --name bob` on one machine and `gimlet punch bob` on the other,
with that line in GIMLET_SERVER or after --server.

A PEER is a contact's name, a name at the server, an id, or the beginning of one.
Exit status: 0 done, 1 the operation failed, 2 usage, 3 nobody reachable.";

/// One encrypted session between two machines, through the NATs where that can be done.
#[derive(Debug, Parser)]
#[command(
    name = "gimlet",
    version,
    after_help = AFTER_HELP,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags every command takes.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Server to sign in to: the line `gimlet serve` printed, or host:port; repeatable [env:
    /// GIMLET_SERVER, comma-separated]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(crate) server: Vec<ServerAddress>,
    /// Key file, made on first use [env: GIMLET_IDENTITY] [default: identity.key in the user's
    /// configuration folder]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// Name to be found by [env: GIMLET_NAME]
    #[arg(long, global = true)]
    pub(crate) name: Option<Name>,
    /// Never connect directly and never show my addresses [env: GIMLET_RELAY_ONLY]
    #[arg(long, global = true)]
    pub(crate) relay_only: bool,
    /// Don't tell the server what comes of my attempts to connect directly [env: GIMLET_NO_REPORT]
    #[arg(long, global = true)]
    pub(crate) no_report: bool,
    /// Don't ask the router for a port that leads here [env: GIMLET_NO_PORT_MAPPING]
    #[arg(long, global = true)]
    pub(crate) no_port_mapping: bool,
    /// HTTP proxy, http://[USER:PASSWORD@]HOST:PORT, to reach the server through where UDP is blocked
    /// [env: GIMLET_PROXY] [default: what https_proxy, all_proxy and no_proxy say]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) proxy: Option<Proxy>,
    /// Be found on this network, and dial peers there first, with no server [env: GIMLET_LAN]
    #[arg(long, global = true)]
    pub(crate) lan: bool,
    /// Go on where a name leads to another key than before, and remember that one
    #[arg(long, global = true)]
    pub(crate) trust_new: bool,
    /// Print one JSON object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say more on standard error; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,
    /// Say nothing on standard error but errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Configuration file [env: GIMLET_CONFIG] [default: config.toml in the user's configuration
    /// folder, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a server
    Serve(ServeArgs),
    /// Print my peer id
    Id,
    /// Print my addresses as seen from outside, and what my NAT does
    Whoami,
    /// Print who is online, and the sessions between them
    List,
    /// Stay signed in and answer
    Up(UpArgs),
    /// Connect to a peer, and tell whether the path is direct
    Punch(PunchArgs),
    /// Measure round trips to a peer
    Ping(PingArgs),
    /// Measure throughput to a peer
    Bench(BenchArgs),
    /// Talk to a peer, a line at a time
    Chat(PeerArgs),
    /// Standard input to the peer, the peer to standard output
    Pipe(PipeArgs),
    /// Let peers use services of this host
    Expose(ExposeArgs),
    /// Reach a service of a peer on a socket of this host
    Forward(ForwardArgs),
    /// Reach what a peer reaches: SOCKS5 on a socket of this host
    Socks(SocksArgs),
    /// The peers I know by name: their keys, whatever a server says
    Contacts(ContactsArgs),
    /// Send files and folders: verified, and resumed after an interruption
    Send(SendArgs),
    /// Receive files and folders
    Recv(RecvArgs),
    /// Peers on this network, with no server and no internet
    Lan(LanArgs),
    /// The interactive shell
    Shell(AcceptArgs),
    /// Publish messages to whoever subscribes to me
    Publish(PublishArgs),
    /// Print what a peer publishes
    Subscribe(SubscribeArgs),
    /// Is a peer signed in?
    Alive(AliveArgs),
    /// Why is it relayed, or not there at all? Each stage, what it found, and what to do
    Doctor(DoctorArgs),
    /// Print how many attempts became direct: everybody's on this server, and my own
    Stats(StatsArgs),
}

#[derive(Debug, Default, Args)]
pub(crate) struct ServeArgs {
    /// UDP address to listen on; port 0 takes a free one [env: GIMLET_LISTEN] [default:
    /// port 13000 of every interface]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Second address of this host, for STUN: clients can then tell all of their NAT's behaviour. PORT
    /// is that of the second port at both addresses [default: the one after the main port]
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = second_address)]
    pub(crate) listen_alt: Option<SocketAddr>,
    /// TCP address to listen on for clients behind firewalls that block UDP, or `off`; port 443 lets the
    /// most of them in [env: GIMLET_LISTEN_TLS] [default: address and port of --listen]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen_tls: Option<TlsPort>,
    /// Folder of the server's key, token and names [env: GIMLET_STATE] [default: the user's state
    /// folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Who signs in must show this [env: GIMLET_TOKEN] [default: made on first start]
    #[arg(long, value_name = "T", conflicts_with = "open")]
    pub(crate) token: Option<String>,
    /// Let everyone sign in
    #[arg(long)]
    pub(crate) open: bool,
    /// Tell peers one another's public addresses in the list, and let them dial by these
    #[arg(long)]
    pub(crate) tell_addresses: bool,
    /// Host name or address in the printed line, where clients see this server under another one
    /// than it has itself
    #[arg(long, value_name = "HOST")]
    pub(crate) advertise: Option<String>,
    /// Certificate chain (PEM) of the host name, for clients that are given only host:port
    #[arg(long, value_name = "FILE", requires = "cert_key")]
    pub(crate) cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) cert_key: Option<PathBuf>,
}

/// An address with a port, or without one, which is then 0.
pub(crate) fn second_address(text: &str) -> Result<SocketAddr, AddrParseError> {
    match text.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => Ok(SocketAddr::new(ip, 0)),
        Err(_) => text.parse(),
    }
}

/// Whose connections are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Accept {
    /// Everyone's
    All,
    /// Those of contacts and of peers listed as known
    Known,
    /// Ask on the terminal each time
    Ask,
}

#[derive(Debug, Default, Args)]
pub(crate) struct AcceptArgs {
    /// Whose connections to take [default: all]
    #[arg(long, value_enum)]
    pub(crate) accept: Option<Accept>,
    /// Peer ids that count as known, one a line, besides known_peers of the configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) known: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) accept: AcceptArgs,
    /// Also serve ping, bench and echo streams
    #[arg(long)]
    pub(crate) echo: bool,
    /// Also be a way out, to the internet alone; what [expose] and [socks] of the configuration say is
    /// served anyway
    #[arg(long)]
    pub(crate) socks: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PeerArgs {
    /// Name, id, or beginning of an id
    pub(crate) peer: String,
}

#[derive(Debug, Args)]
pub(crate) struct PunchArgs {
    /// Name, id, or beginning of an id
    pub(crate) peer: String,
    /// How long to wait for a direct path at most; 0 does not wait
    #[arg(long, value_name = "SECS", default_value = "15", value_parser = seconds)]
    pub(crate) wait_direct: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct PingArgs {
    /// Name, id, or beginning of an id
    pub(crate) peer: String,
    /// How many; 0 goes on until interrupted
    #[arg(short, value_name = "N", default_value_t = 4)]
    pub(crate) count: u32,
    /// Time from one to the next, in seconds
    #[arg(short, value_name = "SECS", default_value = "1", value_parser = seconds)]
    pub(crate) interval: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Name, id, or beginning of an id
    pub(crate) peer: String,
    /// How much to send
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) mib: u32,
    /// Let the peer send
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Use datagrams as long as the path takes, as file transfers do
    #[arg(long)]
    pub(crate) long_datagrams: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Name, id, or beginning of an id; without one only this side is examined
    pub(crate) peer: Option<String>,
    /// How long to wait for a direct path at most
    #[arg(long, value_name = "SECS", default_value = "30", value_parser = seconds)]
    pub(crate) wait_direct: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Only my own attempts, without asking the server
    #[arg(long)]
    pub(crate) own: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PipeArgs {
    /// Name, id, or beginning of an id
    #[arg(required_unless_present = "listen")]
    pub(crate) peer: Option<String>,
    /// Wait for a peer to connect: one session, then done
    #[arg(long, conflicts_with = "peer")]
    pub(crate) listen: bool,
    #[command(flatten)]
    pub(crate) accept: AcceptArgs,
}

/// Seconds, with a fraction if wanted. A day is more than any wait here needs.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.0..=86_400.0).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err("from 0 to 86400 seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests;
