//! The style sheet and the mark, compiled in. Their names contain their content's hash, so that browsers may keep them
//! for ever and still get a new version at once.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::error::error_page;

struct Asset {
    name: String,
    content_type: &'static str,
    content: &'static str,
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("flyte", "css", "text/css; charset=utf-8", include_str!("../../assets/flyte.css"))
});
static MARK: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("mark", "svg", "image/svg+xml", include_str!("../../assets/mark.svg")));

impl Asset {
    fn new(stem: &str, extension: &str, content_type: &'static str, content: &'static str) -> Self {
        let hash = digest(&SHA256, content.as_bytes());
        let hash: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { name: format!("{stem}.{hash}.{extension}"), content_type, content }
    }
}

/// File name of the style sheet under `/assets/`.
pub(super) fn style() -> &'static str {
    &STYLE.name
}

/// File name of the mark under `/assets/`.
pub(super) fn mark() -> &'static str {
    &MARK.name
}

/// `GET /assets/{name}`
pub(super) async fn serve(Path(name): Path<String>) -> Response {
    match [&*STYLE, &*MARK].into_iter().find(|asset| asset.name == name) {
        Some(asset) => (
            [
                (header::CONTENT_TYPE, asset.content_type),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ],
            asset.content,
        )
            .into_response(),
        None => error_page(StatusCode::NOT_FOUND, "Not found", "There is no such file on this server."),
    }
}
