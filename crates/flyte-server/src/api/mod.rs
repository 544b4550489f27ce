//! The control plane: one module for each flyteidl2 service.
