//! Messages by their names: proto-JSON in, the wire's bytes out, and back. Descriptors are all it takes, so that every message
//! of `proto/` is known.

use std::sync::{Arc, Mutex, PoisonError};

use buffa_descriptor::{DescriptorPool, DynamicMessage, MessageIndex};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::failure::Failure;

/// The descriptors, read once. The lock is only held while attached to the interpreter, so that no fork leaves it taken.
static POOL: Mutex<Option<Arc<DescriptorPool>>> = Mutex::new(None);

/// A method, and what it takes and gives.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    /// The path of the method, for example `/flyteidl2.task.TaskService/ListTasks`.
    pub(crate) procedure: &'static str,
    input: MessageIndex,
    output: MessageIndex,
    /// Whether it answers with more than one message.
    pub(crate) streams: bool,
    pool: Arc<DescriptorPool>,
}

impl Method {
    /// The method that `name` (`package.Service/Method`) is of.
    pub(crate) fn find(py: Python<'_>, name: &str) -> Result<Self, Failure> {
        let pool = pool(py)?;
        let unknown = || Failure::argument(format!("unknown method {name:?}"));
        let (service_name, method_name) = name.split_once('/').ok_or_else(unknown)?;
        let service = pool.service_by_name(service_name).ok_or_else(unknown)?;
        let method =
            service.methods().iter().find(|method| method.name() == method_name).ok_or_else(unknown)?;
        if method.is_client_streaming() {
            return Err(Failure::argument(format!(
                "{name} takes a stream of messages, which is not offered here"
            )));
        }
        Ok(Self {
            procedure: procedure(py, name),
            input: method.input(),
            output: method.output(),
            streams: method.is_server_streaming(),
            pool: Arc::clone(&pool),
        })
    }

    /// The word for what the method is about in the command that lists it (`flyte get task`). A project holds everything that
    /// has no such command.
    pub(crate) fn resource(&self) -> &'static str {
        let (service, method) = self.procedure.rsplit_once('/').unwrap_or((self.procedure, ""));
        // What these do not find is the project.
        if method.starts_with("List") || method.starts_with("Deploy") {
            return "project";
        }
        match service.rsplit('.').next().unwrap_or_default() {
            "TaskService" => "task",
            "RunService" | "RunLogsService" => "run",
            "AppService" | "AppsService" | "AppLogsService" => "app",
            "ApiKeyService" => "api-key",
            "TrustService" => "trust",
            _ => "project",
        }
    }

    /// The request's bytes.
    pub(crate) fn request(&self, json: &str) -> Result<Vec<u8>, Failure> {
        write(&self.pool, self.input, json)
    }

    /// An answer as proto-JSON.
    pub(crate) fn answer(&self, bytes: &[u8]) -> Result<String, Failure> {
        read(&self.pool, self.output, bytes)
    }
}

/// Encodes a message that is given as proto-JSON; bytes in it are base64 and 64-bit integers text.
///
/// Raises `ValueError` if the message is unknown or the text is not a valid one.
#[pyfunction]
pub(crate) fn encode<'py>(py: Python<'py>, message: &str, json: Text) -> PyResult<Bound<'py, PyBytes>> {
    let (pool, index) = known(py, message)?;
    let bytes = py.detach(|| write(&pool, index, &json.0)).map_err(Failure::into_value_error)?;
    Ok(PyBytes::new(py, &bytes))
}

/// Decodes a message into proto-JSON.
///
/// Raises `ValueError` if the message is unknown or the bytes are not a valid one.
#[pyfunction]
pub(crate) fn decode(py: Python<'_>, message: &str, data: &[u8]) -> PyResult<String> {
    let (pool, index) = known(py, message)?;
    py.detach(|| read(&pool, index, data)).map_err(Failure::into_value_error)
}

/// Text, or bytes that hold text.
pub(crate) struct Text(String);

impl FromPyObject<'_, '_> for Text {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            let text = std::str::from_utf8(bytes.as_bytes());
            let text = text.map_err(|error| PyValueError::new_err(format!("this is not text: {error}")))?;
            return Ok(Self(text.to_owned()));
        }
        object.extract().map(Self)
    }
}

fn known(py: Python<'_>, message: &str) -> PyResult<(Arc<DescriptorPool>, MessageIndex)> {
    let pool = pool(py).map_err(Failure::into_value_error)?;
    let index = pool
        .message_index(message)
        .ok_or_else(|| Failure::argument(format!("unknown message {message:?}")).into_value_error())?;
    Ok((pool, index))
}

/// The descriptors; `_py` proves that the interpreter is locked.
fn pool(_py: Python<'_>) -> Result<Arc<DescriptorPool>, Failure> {
    let mut held = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = &*held {
        return Ok(Arc::clone(pool));
    }
    let pool = DescriptorPool::decode(flyte_idl::FILE_DESCRIPTOR_SET)
        .map_err(|error| Failure::internal(format!("the descriptors cannot be read: {error}")))?;
    Ok(Arc::clone(held.insert(Arc::new(pool))))
}

/// The path of a known method. Each is made once and kept: there are only as many as there are methods.
fn procedure(_py: Python<'_>, name: &str) -> &'static str {
    static KNOWN: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = known.iter().find(|path| path.get(1..) == Some(name)) {
        return path;
    }
    let path: &'static str = Box::leak(format!("/{name}").into_boxed_str());
    known.push(path);
    path
}

fn write(pool: &Arc<DescriptorPool>, index: MessageIndex, json: &str) -> Result<Vec<u8>, Failure> {
    let name = pool.message(index).full_name();
    let message = DynamicMessage::from_json(Arc::clone(pool), index, json)
        .map_err(|error| Failure::argument(format!("this is not a {name}: {error}")))?;
    message.try_encode_to_vec().map_err(|error| Failure::argument(format!("{name} cannot be sent: {error}")))
}

fn read(pool: &Arc<DescriptorPool>, index: MessageIndex, bytes: &[u8]) -> Result<String, Failure> {
    let name = pool.message(index).full_name();
    let bad = |error: &dyn std::fmt::Display| Failure::internal(format!("this is not a {name}: {error}"));
    let message = DynamicMessage::decode(Arc::clone(pool), index, bytes).map_err(|error| bad(&error))?;
    message.to_json().map_err(|error| bad(&error))
}
