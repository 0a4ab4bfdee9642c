//! What the server holds of a generation has no method that changes it.
use lectern_server::generations::Served;

fn writes(served: Served) {
    served.upsert(Vec::<u8>::new());
    served.delete();
}

fn main() {}
