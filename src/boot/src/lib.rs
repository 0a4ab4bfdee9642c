//! Reads the environment and files, here only: configuration, secrets, telemetry, shutdown.
