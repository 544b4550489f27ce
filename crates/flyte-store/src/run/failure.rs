//! Failures of attempts and actions.

/// The origin of a failure. The numbers are those of `flyteidl2.core.ExecutionError.ErrorKind`, and are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The user's code.
    User = 1,
    /// The system that runs the code.
    System = 2,
}

/// The reason why an attempt or an action did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The origin of the failure.
    pub kind: FailureKind,
    /// The sort of error, for example the name of an exception.
    pub code: String,
    /// The message, for people.
    pub message: String,
    /// Whether a retry could help.
    pub recoverable: bool,
}

impl Failure {
    /// The longest [`Failure::message`] that is stored, in bytes, without the note that the message was cut.
    pub const MAX_MESSAGE: usize = 64 << 10;
    /// The longest [`Failure::code`] that is stored, in bytes.
    pub const MAX_CODE: usize = 256;

    /// Creates a failure of the system that runs tasks; a retry could help.
    #[must_use]
    pub fn system(code: &str, message: String) -> Self {
        Self { kind: FailureKind::System, code: code.to_owned(), message, recoverable: true }
    }

    /// Cuts the failure to the stored lengths. Tasks write their errors themselves, of any length.
    #[must_use]
    pub fn cut(mut self) -> Self {
        self.code.truncate(self.code.floor_char_boundary(Self::MAX_CODE));
        let length = self.message.len();
        if length > Self::MAX_MESSAGE {
            self.message.truncate(self.message.floor_char_boundary(Self::MAX_MESSAGE));
            self.message.push_str(&format!("\n[cut: the whole message is {length} bytes long]"));
            self.message.shrink_to_fit();
        }
        self
    }
}
