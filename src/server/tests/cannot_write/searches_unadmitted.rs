//! Nothing is searched without a place: only the door makes an `Admitted`.
// error: E0451 field `_place` of struct `Admitted` is private
use lectern_server::admission::Admitted;

fn main() {
    let _forged = Admitted { _place: unimplemented!() };
}
