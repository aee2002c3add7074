-- The wall behind reservations is asked only about moves that set something aside.
--
-- Why: most moves of windows settle or give back, and calling a function for each of their rows costs
-- more than the condition that the function would begin with.

drop trigger budgets_never_over_limit on budget_windows;
create trigger budgets_never_over_limit before update of reserved on budget_windows
    for each row when (new.reserved > old.reserved and new.enforced)
    execute function budgets_never_over_limit();
