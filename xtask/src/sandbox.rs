//! Entering the user namespace in which the lab may make networks.
//!
//! Must happen before the process has a second thread: the kernel refuses to move a process
//! with threads into a new user namespace. So a task calls [`enter`] first and makes its
//! runtime afterwards.

use std::os::unix::fs::MetadataExt;

use anyhow::{Context, bail};
use patchbay::Lab;
use tokio::signal::unix::{SignalKind, signal};

/// What is needed where [`enter`] fails, for a person.
pub(crate) const NEEDS: &str = "\
The NAT lab makes its networks in Linux namespaces. It needs one of:
  - unprivileged user namespaces: user.max_user_namespaces above 0, and, where these exist,
    kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0
  - root with CAP_SYS_ADMIN and CAP_NET_ADMIN (a container: --privileged)
and the commands `nft`, `ip` and `miniupnpd`, and /dev/net/tun open to everyone
(Debian and Ubuntu: apt-get install nftables iproute2 miniupnpd-nftables).";

/// How this process may make networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sandbox {
    /// Inside a user namespace of its own, as anyone can.
    UserNamespace,
    /// As real root, where user namespaces are switched off.
    RealRoot,
}

impl Sandbox {
    /// A lab with nothing in it yet.
    pub(crate) async fn lab(self) -> anyhow::Result<Lab> {
        let builder = match self {
            Self::UserNamespace => Lab::builder(),
            Self::RealRoot => Lab::builder().allow_real_root(),
        };
        builder.build().await
    }
}

/// Enters the sandbox. The error says what the kernel refused; [`NEEDS`] what to do.
pub(crate) fn enter() -> anyhow::Result<Sandbox> {
    on_path("nft").context("the command `nft` is not installed")?;
    let was_root = std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    match patchbay::init_userns() {
        Ok(()) => Ok(Sandbox::UserNamespace),
        Err(_) if was_root => Ok(Sandbox::RealRoot),
        Err(error) => Err(error.context("this system does not allow user namespaces")),
    }
}

/// The folder of the PATH, or of the administrator's folders, that has `tool`.
pub(crate) fn on_path(tool: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        // A plain user's PATH often lacks these, and nft lives there.
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(tool))
        .find(|file| file.is_file())
}

/// Runs a task to its end, or to Ctrl-C or a termination signal, whichever is first; in each
/// case everything the task holds is dropped, child processes included.
pub(crate) fn block_on<T>(task: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    // One thread: what we start must see the death of the thread that started it only when
    // all of us is gone.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = task => done,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = terminate.recv() => bail!("terminated"),
        }
    })
}
