//! Puts the terminal back as it was when the command leaves while a line is being edited.

/// The terminal's mode at the start; set again on drop.
#[cfg(unix)]
pub(super) struct Restore(Option<rustix::termios::Termios>);

#[cfg(unix)]
impl Restore {
    pub(super) fn now() -> Self {
        Self(rustix::termios::tcgetattr(rustix::stdio::stdin()).ok())
    }
}

#[cfg(unix)]
impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(mode) = &self.0 {
            let when = rustix::termios::OptionalActions::Drain;
            // Fails only where the terminal is gone.
            let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), when, mode);
        }
    }
}

/// Consoles elsewhere reset themselves.
#[cfg(not(unix))]
pub(super) struct Restore;

#[cfg(not(unix))]
impl Restore {
    pub(super) fn now() -> Self {
        Self
    }
}
