//! Who asks follows from the request alone.
use lectern_server::caller::Caller;

fn main() {
    let _forged = Caller { tenant: unimplemented!() };
}
