//! What the page of each problem code says. Written for the author of the program that got it.

use crate::domain::refusal::Code;

/// The texts of a page, in Markdown.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// What happened.
    pub happened: &'static str,
    /// What to do.
    pub to_do: &'static str,
}

/// The texts of a code's page.
#[must_use]
pub const fn text(code: Code) -> Text {
    match code {
        Code::MalformedRequest => Text {
            happened: "The body is not JSON, or it broke off before its end. `detail` says at \
                       which line and column reading stopped. Nothing was stored.",
            to_do: "Build the body with a JSON library in place of gluing strings together, and \
                    look at the place that `detail` names: usually an unescaped quote or line \
                    break in a text, or a body that was cut. `NaN` and `Infinity` are not JSON.",
        },
        Code::Unauthenticated => Text {
            happened: "The request has no key, or one that muster does not take: it is unknown, \
                       has expired, or was revoked. muster does not say which of these it is.",
            to_do: "Send exactly one header `Authorization: Bearer mst_...` with the whole key as \
                    it was shown when it was made. When a key that used to work is refused, it \
                    was revoked or has expired: ask an admin for a new one. Do not go on trying \
                    with the same key. `GET /v1/whoami` is the simplest test of a key.",
        },
        Code::Forbidden => Text {
            happened: "The key is good, but its role may not do this. `detail` names the roles \
                       that may, and yours.",
            to_do: "Use a key with one of these roles. An agent can never decide approvals, raise \
                    budgets or make keys; when your agent needs a person to decide, let it ask: \
                    `POST /v1/attempts/{attempt_id}/approvals`.",
        },
        Code::NotYourAttempt => Text {
            happened: "The attempt exists in your workspace, but another agent works on it. Each \
                       agent can only change the attempts that it claimed itself, with its own \
                       key.",
            to_do: "Check that the attempt's id comes from a claim of this agent, and that every \
                    agent uses its own key. Several processes with one key are one agent.",
        },
        Code::NotFound => Text {
            happened: "There is no such path, or no such thing in the workspace of your key. \
                       What belongs to another workspace, and an id that is not even a UUID, get \
                       this same answer.",
            to_do: "Check the path against `/openapi.json` and the id against what muster gave \
                    you, and that the key belongs to the workspace you mean: `GET /v1/whoami` \
                    says which one it opens.",
        },
        Code::MethodNotAllowed => Text {
            happened: "The path exists, but not with this method.",
            to_do: "Use one of the methods in the `Allow` header of the response. Changes are \
                    `PATCH`, actions such as `complete` are `POST`.",
        },
        Code::AlreadyExists => Text {
            happened: "You asked to make something under a name that something else already has. \
                       Nothing was stored.",
            to_do: "Use what is there, or choose another name. When you only sent the same \
                    request again because its answer was lost, send an `Idempotency-Key` with \
                    such requests: then the second one gets the answer of the first.",
        },
        Code::LeaseLost => Text {
            happened: "The attempt no longer holds its task: the lease ran out and the task went \
                       back, the task was cancelled, an operator stopped it or took the task away, or the `lease` is not the one that the claim \
                       gave. Another agent may be working on the task now. Nothing of this \
                       request was stored, the spend in it included.",
            to_do: "Stop working on this attempt, do not send its result again, and claim anew. \
                    Report what you used to `POST /v1/attempts/{attempt_id}/spend`, which takes \
                    it for an attempt that has ended too. \
                    When it happens often, send heartbeats more often (every third of \
                    `lease_seconds`, from a thread of its own that long work does not block), or \
                    ask for a longer lease. What you saved as `checkpoint` is given to the next \
                    attempt.",
        },
        Code::AlreadyCompleted => Text {
            happened: "This attempt was completed before, with another result. The first result \
                       stands. The very same completion again would have got the same answer.",
            to_do: "Treat the attempt as finished. If the second result is the right one, tell a \
                    person. And look for the place in your program that computes the result \
                    twice: compute it once, keep it, and send what you kept.",
        },
        Code::GoalEnded => Text {
            happened: "The goal is completed, failed or cancelled. Nothing can be added to it or \
                       changed in it any more.",
            to_do: "Read the goal to see how it ended. To go on, post a new goal.",
        },
        Code::TaskEnded => Text {
            happened: "The task is done, failed or cancelled, and stays that way. Somebody or \
                       something was faster than this request.",
            to_do: "Read the task to see how it ended, and leave it at that. When more work is \
                    needed, add a new task to the goal.",
        },
        Code::AlreadyDecided => Text {
            happened: "Somebody decided this approval before you, or it was cancelled or expired. \
                       The first decision stands and has had its effect.",
            to_do: "Read the approval to see the decision, who made it and why.",
        },
        Code::SeparationOfDuties => Text {
            happened: "Whoever asked for something, posted the goal, has it done by an agent of their \
                       own, or wrote what is under review does not decide about it, with whichever \
                       key. The approval's `excluded` says who that is. Nothing was decided.",
            to_do: "Ask somebody else to decide. When a fleet is one person's, an administrator can \
                    allow it with an approval policy that says `allow_self`.",
        },
        Code::NotAnApprover => Text {
            happened: "The approval has a policy that names who decides at this stage, and the \
                       person of your key is none of them, nor does anybody let you vote in their \
                       place at this moment. Nothing was stored.",
            to_do: "Read the approval: `policy.approvers` are the people who may vote now. Ask one of \
                    them. A key without a person is nobody here: an admin makes one with `person`. \
                    Who is often away can be given a delegate in the policy, by an admin.",
        },
        Code::AlreadyVoted => Text {
            happened: "You have voted on this stage of the approval before, and said something else; \
                       or somebody has voted in the same place. A vote is not taken back. The very \
                       same vote again would have got the same answer.",
            to_do: "Read the approval to see its votes. When what is asked was revised, or the next \
                    stage is asked, you may vote again.",
        },
        Code::PayloadChanged => Text {
            happened: "A decision names the SHA-256 of the payload that was read, and the approval's \
                       payload has another one: it was revised since. Nothing was decided.",
            to_do: "Read the approval again, look at what it asks now, and decide with its \
                    `payload_sha256`.",
        },
        Code::LinkRefused => Text {
            happened: "Links are for people without a key: whoever holds one decides, and links are \
                       forwarded, and kept in mailboxes. So a link does not decide what is of `high` or \
                       `critical` risk, nor a payload that is too large to be shown whole on its page, nor \
                       what becomes of a task whose results were rejected as often as may be. \
                       Nothing was made or decided.",
            to_do: "Let somebody decide who has an operator's key: \
                    `POST /v1/approvals/{approval_id}/decide`.",
        },
        Code::BudgetExhausted => Text {
            happened: "At least one budget above the work has not enough left of a unit for what was \
                       asked. `detail` and `errors` name every limit that is short: the node, the \
                       unit, the period, the limit, what is settled, what is reserved by attempts \
                       that run, and what was requested. Nothing was reserved or stored.",
            to_do: "Do not go on asking for the same. An agent asks for less, or wraps up and \
                    completes or releases; what it used already it can always report. An operator \
                    raises the limit with `PATCH /v1/budgets/{budget_id}`: tasks that wait for it \
                    go on by themselves.",
        },
        Code::AgentNotActive => Text {
            happened: "The agent is paused, draining or retired, so it gets no new work. What it \
                       has claimed it can still finish.",
            to_do: "Finish what is open. Then wait, asking now and then (once a minute is \
                    plenty), until an operator makes the agent active again; or end the process, \
                    if the agent was retired.",
        },
        Code::Frozen => Text {
            happened: "An operator has put a freeze on the work that this is about: on its task, goal \
                       or project, on a capability that it requires, on the agent, or on everything. \
                       Under a `pause` nothing new is begun (subtasks, costs); under a `stop` nothing \
                       is accepted. Nothing was stored.",
            to_do: "Under a `pause`, save a checkpoint and release the attempt; completing it is \
                    accepted too. Under a `stop`, stop. What was used can always be reported to \
                    `POST /v1/attempts/{attempt_id}/spend`. `GET /v1/freezes?lifted=false` says what \
                    is frozen and why. Then claim with `wait_seconds`: there is work again as soon as \
                    the freeze is lifted. Sending the same again now and then (once a minute is \
                    plenty) may succeed after that.",
        },
        Code::WrongState => Text {
            happened: "The task is in a state in which this cannot be done; `detail` says what comes \
                       first: other tasks, a person's decision, its subtasks. Nothing was changed.",
            to_do: "Read the task. Do what comes first (decide the approval, cancel the subtasks) or \
                    wait for it, and then send the request again.",
        },
        Code::LastAdminKey => Text {
            happened: "This is the only admin key of the workspace that is still valid. Without it \
                       nobody could make another key, so it was not revoked.",
            to_do: "Make another admin key first (`POST /v1/keys` with the role `admin`), change \
                    to it, and revoke this one then. When every admin key is lost, `muster keys \
                    create` on the machine of the database makes a new one.",
        },
        Code::IdempotencyInProgress => Text {
            happened: "Another request with the same `Idempotency-Key` is being worked on at this \
                       very moment, for example the one whose answer you stopped waiting for.",
            to_do: "Send the same request again after the time in `Retry-After`: it will get the \
                    answer of the first. Do not use a new key, or it may happen twice.",
        },
        Code::PreconditionFailed => Text {
            happened: "The thing was changed since you read it: its version is not the one in \
                       `If-Match`. Nothing was changed by this request, so nobody's work is lost.",
            to_do: "Read it again, look at what changed, make your change anew on top of that, \
                    and send it with the new `ETag`. Do not simply send the old change with the \
                    new tag.",
        },
        Code::PreconditionRequired => Text {
            happened: "This request changes something that several people edit, and must say \
                       which version it is based on.",
            to_do: "Read the thing first and send its `ETag` in the header `If-Match`, quotes \
                    included: `If-Match: \"v7\"`. `If-Match: *` changes whatever is there.",
        },
        Code::BodyTooLarge => Text {
            happened: "The body is larger than this route takes; `detail` says how much that is.",
            to_do: "Send less. Keep large results (logs, archives, pictures) where they are and \
                    send a link and a hash as evidence. Split batches.",
        },
        Code::UnsupportedMediaType => Text {
            happened: "The body does not say that it is JSON, or it is compressed.",
            to_do: "Send `Content-Type: application/json` and no `Content-Encoding`. With curl: \
                    `-H 'Content-Type: application/json'`; `-d` alone says something else.",
        },
        Code::Invalid => Text {
            happened: "The request could be read, but values in it are refused. `errors` lists \
                       the places: a JSON Pointer such as `/tasks/3/title` into the body, `?name` \
                       for a parameter of the query, `@Name` for a header. Nothing was stored.",
            to_do: "Correct every listed place and send the request again. An unknown field is an \
                    error, because it is mostly a misspelt one. If you let a model write the \
                    request, give it `errors` and let it try again, two or three times at most.",
        },
        Code::PlanInvalid => Text {
            happened: "The tasks of the plan do not fit together: a `needs` names a task that is \
                       not there, two tasks have the same `ref`, they wait for each other in a \
                       circle, or there are too many. `errors` lists every place. Nothing was \
                       stored.",
            to_do: "Correct the places in `errors` and send the whole plan again. A circle is \
                    listed with the refs on it: take out one dependency of it.",
        },
        Code::NoTasksFound => Text {
            happened: "The goal was to be planned from the outline of its brief, and the brief \
                       has nothing in it that looks like a task.",
            to_do: "Write the tasks as a list (`- ...`, `1. ...` or `- [ ] ...`) or under \
                    headings, or name another planner, or give `tasks` explicitly.",
        },
        Code::IdempotencyKeyReused => Text {
            happened: "The `Idempotency-Key` was used in the last 24 hours for another request: \
                       the method, the path or some byte of the body differs. Nothing was stored.",
            to_do: "Use a new key for each new thing, for example a UUID, and send the stored \
                    bytes of the first request when you send it again. Building the body anew \
                    can order its fields differently.",
        },
        Code::EvidenceMissing => Text {
            happened: "The task has criteria that must be shown to be met, and there is no evidence \
                       for at least one of them. `errors` lists them. A completion was refused, and \
                       the attempt still holds the task; or a result was to be accepted, and still \
                       waits for its decision.",
            to_do: "Complete again with evidence for each required criterion. If one cannot be \
                    met, `fail` the attempt and say why, or ask a person. Whoever accepts a result \
                    names each such criterion in `waive`, with a reason, or rejects it.",
        },
        Code::RateLimited => Text {
            happened: "Too many requests came with this key in a short time. Nothing was stored.",
            to_do: "Wait as long as `Retry-After` says. Use `wait_seconds` in place of asking \
                    again and again, and the batch routes in place of many single requests.",
        },
        Code::Internal => Text {
            happened: "Something failed inside muster. It is not your fault, and nothing of the \
                       request was stored. The service's log has the cause under the \
                       `request_id` of the problem.",
            to_do: "Send the same request again, with the same `Idempotency-Key` if it makes \
                    something, a few times and waiting longer each time. If it stays like this, \
                    give the `request_id` to whoever runs the service.",
        },
        Code::Unavailable => Text {
            happened: "muster cannot take the request at this moment: it is starting or \
                       stopping, its database does not answer, it has too much to do, or the \
                       request took too long.",
            to_do: "Wait as long as `Retry-After` says and send the same request again, with the \
                    same `Idempotency-Key` if it makes something; wait longer each time, and add \
                    a little chance so that a fleet does not come back all at once. Keep working \
                    meanwhile: a short outage costs no lease.",
        },
    }
}
