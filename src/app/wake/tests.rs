//! What becomes of calls whose claims end without an answer.

use uuid::Uuid;

use super::{queue::tests::ready, *};
use crate::domain::ids::AgentId;

fn who(number: u128) -> Who {
    let id = Uuid::from_u128(number);
    Who { agent: AgentId(id), key: KeyId(id), able: ["rust".to_owned()].into(), repeat: None }
}

fn ticket(wake: &Wake, watch: &Arc<Watch>) -> WaitTicket {
    let workspace = WorkspaceId(Uuid::nil());
    Place { wake: wake.clone(), workspace, watch: Arc::clone(watch) }.ticket()
}

/// Two claims wait, and one is called for the only task. Returns the called one and the watch.
fn called() -> (WaitTicket, WaitTicket, Arc<Watch>) {
    let (wake, watch) = (Wake::default(), Arc::new(Watch::new()));
    let (mut first, mut second) = (ticket(&wake, &watch), ticket(&wake, &watch));
    first.enqueue(who(1), None);
    second.enqueue(who(2), None);
    watch.queue().call(0, ready(&[(&["rust"], 1)]));
    (first, second, watch)
}

fn looks_again(watch: &Watch) -> bool {
    watch.queue().asks(false).is_some()
}

#[tokio::test]
async fn a_call_is_not_lost_with_its_claim() {
    let (first, _second, watch) = called();
    assert!(!looks_again(&watch));
    // Its wait was over when the call came.
    drop(first);
    assert!(looks_again(&watch));
    let another = ticket(&Wake::default(), &watch).enqueue_unverified(who(3));
    assert!(!another, "a new claim relies on the look that called in vain");

    let (mut first, _second, watch) = called();
    first.called().await;
    // Its query failed, or its caller went away before the answer.
    drop(first);
    assert!(looks_again(&watch));
}

#[tokio::test]
async fn a_claim_with_an_answer_owes_nothing() {
    let (mut first, second, watch) = called();
    first.called().await;
    first.served();
    drop(first);
    assert!(!looks_again(&watch));
    // It was not called.
    drop(second);
    assert!(!watch.queue().is_unseen());
}
