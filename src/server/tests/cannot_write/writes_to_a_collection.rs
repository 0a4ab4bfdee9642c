//! What the server holds of a generation has no method that changes it.
// error: E0599 no method named `upsert` found for struct `Served` in the current scope
// error: E0599 no method named `delete` found for struct `Served` in the current scope
use lectern_server::generations::Served;

fn writes(served: Served) {
    served.upsert(Vec::<u8>::new());
    served.delete();
}

fn main() {}
