//! QR codes, which Python draws: a link that a telephone can read off a notebook.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use qrcode::{Color, EcLevel, QrCode};

/// A QR code of a text: rows of `1` (dark) and `0`, without the light margin of four that belongs around it.
///
/// Raises `ValueError` if the text is too long for a QR code.
#[pyfunction]
pub(crate) fn qr(text: &str) -> PyResult<Vec<String>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L)
        .map_err(|error| PyValueError::new_err(format!("this cannot be a QR code: {error}")))?;
    let row = |modules: &[Color]| modules.iter().map(|module| module.select('1', '0')).collect();
    Ok(code.to_colors().chunks(code.width()).map(row).collect())
}
