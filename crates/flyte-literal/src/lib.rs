//! Values of inputs and outputs as JSON, and their types in Python notation: as the `flyte` command and the pages of the server
//! show them.
#![forbid(unsafe_code)]

mod types;
mod value;

pub use types::python_name;
pub use value::{MESSAGE_PACK, value, values};
