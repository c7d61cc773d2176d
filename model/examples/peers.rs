use zabsim_model::intake::*;
fn main() {
    for path in std::env::args().skip(1) {
        let file = std::fs::File::open(&path).unwrap();
        let start = std::time::Instant::now();
        let r = (|| {
            let mut source = source::Source::new(file)?;
            let mut entries = entries::Entries::new(&mut source)?;
            let mut calls = calls::Calls::default();
            while let Some(e) = entries.next()? { calls.push(e)?; }
            let object = bind::Object::guess(&calls).ok_or(Fault { line: 0, what: "?".into() })?;
            let bound = bind::bind(&calls, object)?;
            let v = verdict::decide(&calls, bound, Default::default());
            if let verdict::Verdict::Illegal(c) = &v { for at in &c.calls { println!("    {}", calls.calls[*at as usize]); } }
            Ok::<_, Fault>((object, v))
        })();
        println!("{path} {r:?} {:?}", start.elapsed());
    }
}
