//! Has the crate compiled again when a migration is added: `sqlx::migrate!` sees only changes of those it knows.

fn main() {
    println!("cargo:rerun-if-changed=../../schema/migrations");
}
