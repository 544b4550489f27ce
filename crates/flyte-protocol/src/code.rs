//! The sixteen codes of errors, which all protocols share.

use http::StatusCode;

/// The code of an error. Its number is that of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Code {
    /// The caller canceled the call.
    Canceled = 1,
    /// An error of no known kind.
    Unknown = 2,
    /// The request is invalid, whatever the state of the server is.
    InvalidArgument = 3,
    /// The deadline passed before the call was done.
    DeadlineExceeded = 4,
    /// The resource does not exist, or not for the caller.
    NotFound = 5,
    /// The resource exists already.
    AlreadyExists = 6,
    /// The caller is known and may not do this.
    PermissionDenied = 7,
    /// A limit is reached.
    ResourceExhausted = 8,
    /// The state of the server does not allow the call.
    FailedPrecondition = 9,
    /// The call met another one.
    Aborted = 10,
    /// The request goes past the end of something.
    OutOfRange = 11,
    /// The server does not have this RPC, protocol or encoding.
    Unimplemented = 12,
    /// The server broke a promise.
    Internal = 13,
    /// The server cannot answer now. The call may be repeated.
    Unavailable = 14,
    /// Data is lost or damaged.
    DataLoss = 15,
    /// The caller is unknown.
    Unauthenticated = 16,
}

/// Number, name in Connect, and HTTP status of a unary Connect response.
const CODES: [(Code, &str, u16); 16] = [
    (Code::Canceled, "canceled", 499),
    (Code::Unknown, "unknown", 500),
    (Code::InvalidArgument, "invalid_argument", 400),
    (Code::DeadlineExceeded, "deadline_exceeded", 504),
    (Code::NotFound, "not_found", 404),
    (Code::AlreadyExists, "already_exists", 409),
    (Code::PermissionDenied, "permission_denied", 403),
    (Code::ResourceExhausted, "resource_exhausted", 429),
    (Code::FailedPrecondition, "failed_precondition", 400),
    (Code::Aborted, "aborted", 409),
    (Code::OutOfRange, "out_of_range", 400),
    (Code::Unimplemented, "unimplemented", 501),
    (Code::Internal, "internal", 500),
    (Code::Unavailable, "unavailable", 503),
    (Code::DataLoss, "data_loss", 500),
    (Code::Unauthenticated, "unauthenticated", 401),
];

impl Code {
    /// The number in gRPC.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The name in Connect.
    #[must_use]
    pub fn name(self) -> &'static str {
        CODES[usize::from(self.number() - 1)].1
    }

    /// The HTTP status of a unary Connect response with this code.
    #[must_use]
    pub fn http_status(self) -> StatusCode {
        StatusCode::from_u16(CODES[usize::from(self.number() - 1)].2)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The code of a number in gRPC; `None` for 0, which is success, and for numbers that are not defined.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        CODES.iter().map(|row| row.0).find(|code| u32::from(code.number()) == number)
    }

    /// The code of a name in Connect.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        CODES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// The code for an HTTP response that does not say one in its protocol, as gRPC and Connect define it.
    #[must_use]
    pub fn from_http_status(status: StatusCode) -> Self {
        match status.as_u16() {
            400 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502..=504 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_that_of_its_code() {
        for (index, (code, name, status)) in CODES.into_iter().enumerate() {
            assert_eq!(usize::from(code.number()), index + 1);
            assert_eq!((code.name(), code.http_status().as_u16()), (name, status));
            assert_eq!(Code::from_number(u32::from(code.number())), Some(code));
            assert_eq!(Code::from_name(name), Some(code));
        }
        assert_eq!((Code::from_number(0), Code::from_number(17)), (None, None));
    }
}
