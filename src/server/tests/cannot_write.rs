//! The server cannot write: code that tries does not compile, and fails for the reason that it should.

#[test]
fn code_that_writes_or_skips_a_step_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/cannot_write/*.rs");
}
