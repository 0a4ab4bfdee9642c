//! Who asks follows from the request alone.
// error: E0451 field `tenant` of struct `Caller` is private
use lectern_server::caller::Caller;

fn main() {
    let _forged = Caller { tenant: unimplemented!() };
}
