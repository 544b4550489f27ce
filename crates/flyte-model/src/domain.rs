//! Domains: the stages of a project.

/// The stages that every project has, as identifier and name.
pub const DOMAINS: [(&str, &str); 3] =
    [("development", "Development"), ("staging", "Staging"), ("production", "Production")];
