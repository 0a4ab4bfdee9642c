//! Black-box tests of Lectern: the harness and what runs on it.
