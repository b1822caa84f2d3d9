//! A web server: nginx, with a folder of its own.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Instant;

use tempfile::TempDir;

use super::start;
use super::tools::program;
use crate::support::{DEADLINE, Process};

/// A web server on a socket.
pub(super) struct Nginx {
    folder: TempDir,
    listen: Listen,
    _process: Process,
}

enum Listen {
    Unix(PathBuf),
    Port(u16),
}

impl Nginx {
    /// On a Unix socket, which nobody else can have taken.
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("web.sock");
        Self::start_at(folder, Listen::Unix(socket))
    }

    /// On a port of both loopback addresses.
    pub(super) fn start_on_port() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        Self::start_at(tempfile::tempdir().unwrap(), Listen::Port(port))
    }

    fn start_at(folder: TempDir, listen: Listen) -> Self {
        let path = |name: &str| folder.path().join(name).display().to_string();
        let sockets = match &listen {
            Listen::Unix(socket) => format!("listen unix:{};", socket.display()),
            Listen::Port(port) => format!("listen 127.0.0.1:{port};"),
        };
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {};\n", path(what)))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid {};\n\
             error_log {};\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; {temporary} server {{ {sockets} root {}; }} }}\n",
            path("pid"),
            path("errors"),
            path("pages"),
        );
        std::fs::create_dir(folder.path().join("pages")).unwrap();
        std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let mut nginx = program("nginx", "nginx-light");
        nginx.args(["-e", &path("errors"), "-c", &path("nginx.conf")]);
        let process = start(nginx);
        let server = Self {
            folder,
            listen,
            _process: process,
        };
        server.wait();
        server
    }

    /// Waits until it listens.
    fn wait(&self) {
        let deadline = Instant::now() + DEADLINE;
        let listens = || match &self.listen {
            Listen::Unix(socket) => UnixStream::connect(socket).is_ok(),
            Listen::Port(port) => TcpStream::connect(("127.0.0.1", *port)).is_ok(),
        };
        while !listens() {
            let errors = std::fs::read_to_string(self.folder.path().join("errors"));
            assert!(
                Instant::now() < deadline,
                "nginx does not listen: {errors:?}"
            );
            std::thread::yield_now();
        }
    }

    /// Puts a page of that size there; its bytes.
    pub(super) fn page(&self, name: &str, size: usize) -> Vec<u8> {
        let page: Vec<u8> = (0..size).map(|n| (n * n % 251) as u8 | 1).collect();
        let ascii: Vec<u8> = page.iter().map(|byte| byte & 0x3f | 0x40).collect();
        std::fs::write(self.folder.path().join("pages").join(name), &ascii).unwrap();
        ascii
    }

    /// What `expose` takes.
    pub(super) fn place(&self) -> String {
        match &self.listen {
            Listen::Unix(socket) => format!("unix:{}", socket.display()),
            Listen::Port(port) => port.to_string(),
        }
    }

    pub(super) fn port(&self) -> u16 {
        match &self.listen {
            Listen::Unix(_) => panic!("it listens on no port"),
            Listen::Port(port) => *port,
        }
    }
}
