//! The first program: ten tasks, one channel, one sum.
//!
//! Watch for: `run` starts a runtime with one P per core and waits for the task inside; `spawn` starts a task as `go`
//! starts a goroutine; the channel has no buffer, so each send waits for the receiver; the last sender to go closes it.

fn main() -> std::io::Result<()> {
    gmprt::run(async {
        let (tx, rx) = gmprt::chan::bounded(0);
        for i in 0..10u64 {
            let tx = tx.clone();
            drop(gmprt::spawn(async move { tx.send(i * i).await }));
        }
        drop(tx);
        let mut sum = 0;
        while let Ok(square) = rx.recv().await {
            sum += square;
        }
        println!("the sum of the squares is {sum}");
    })
}
