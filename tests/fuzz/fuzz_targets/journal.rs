#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    zabsim_tests::readers::journal(bytes);
});
