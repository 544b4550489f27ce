//! Values that people type for inputs.

pub(crate) mod text;

use flyte_literal::MESSAGE_PACK;
