//! Sockets of this host: TCP and Unix streams as one.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use super::place::Place;

/// Pause after the system had no descriptor left for a connection: some may be free by then.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// A connection with a program of this host, or with a service.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Socket {
    /// Connects to where a service is.
    pub(super) async fn dial(place: &Place) -> io::Result<Self> {
        match place {
            Place::Tcp(place) => Self::tcp(TcpStream::connect(place).await?),
            Place::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
            #[cfg(unix)]
            Place::Unix(path) => Ok(Self::Unix(UnixStream::connect(path).await?)),
            #[cfg(not(unix))]
            Place::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The stream as it is; small writes leave at once, as the other end's program meant them to.
    pub(crate) fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::Tcp(stream))
    }

    /// Closing it is a reset from now on, where the kind of socket has one.
    pub(crate) fn reset_on_close(&self) {
        match self {
            Self::Tcp(stream) => {
                // Fails only on a socket that is gone already.
                let _ = stream.set_zero_linger();
            }
            #[cfg(unix)]
            Self::Unix(_) => (),
        }
    }
}

/// Takes connections of this host's programs.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Begins to listen.
    pub(crate) async fn bind(place: &Place) -> io::Result<Self> {
        match place {
            Place::Tcp(place) => Ok(Self::Tcp(TcpListener::bind(place).await?)),
            Place::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
            #[cfg(unix)]
            Place::Unix(path) => {
                let listener = bind_unix(path).await?;
                Ok(Self::Unix(listener, path.clone()))
            }
            #[cfg(not(unix))]
            Place::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Where it listens, with the port that the system chose.
    pub(crate) fn place(&self) -> io::Result<Place> {
        match self {
            Self::Tcp(listener) => Ok(Place::Tcp(listener.local_addr()?.to_string())),
            #[cfg(unix)]
            Self::Unix(_, path) => Ok(Place::Unix(path.clone())),
        }
    }

    /// The next connection, and who it is from. Errors of single connections are passed over.
    pub(crate) async fn accept(&self) -> (Socket, String) {
        loop {
            let accepted = match self {
                Self::Tcp(listener) => listener.accept().await.and_then(|(stream, from)| {
                    let socket = Socket::tcp(stream)?;
                    Ok((socket, from.to_string()))
                }),
                #[cfg(unix)]
                Self::Unix(listener, path) => {
                    let from = || format!("unix:{}", path.display());
                    let accepted = listener.accept().await;
                    accepted.map(|(stream, _)| (Socket::Unix(stream), from()))
                }
            };
            match accepted {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::debug!(%error, "connection not accepted");
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
            }
        }
    }
}

/// Binds a path for this user alone. A socket left behind by a process that died is taken over; one
/// that is in use, or a file of another kind, is not.
#[cfg(unix)]
async fn bind_unix(path: &std::path::Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let is_socket = std::fs::symlink_metadata(path)?.file_type().is_socket();
            let refused = UnixStream::connect(path)
                .await
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if !is_socket || !refused {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Drop for Listener {
    fn drop(&mut self) {
        match self {
            Self::Tcp(_) => (),
            #[cfg(unix)]
            Self::Unix(_, path) => {
                // Somebody may have removed it.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}
