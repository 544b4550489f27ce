//! Connect, gRPC and gRPC-Web as bytes: frames, encodings, errors. Knows no message and no connection.
#![forbid(unsafe_code)]
