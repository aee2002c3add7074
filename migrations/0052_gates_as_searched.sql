-- Gates: a name stands for what is beneath it.
--
-- Why `resources_overlap` anew: a task with the directory `src/api` and one with the pattern `src/*/users.rs` did not
-- conflict, though both have `src/api/users.rs`; nor did `a?**/b` and `*ab`, though both match `aab`.

create function resource_like(pattern text) returns text language sql immutable as $$
    select replace(replace(replace(replace(replace(replace(
               pattern, '\', '\\'), '%', '\%'), '_', '\_'), '**/', '%'), '*', '%'), '?', '_')
$$;
comment on function resource_like(text) is 'The pattern for `like` in which every wildcard may cross a `/`.';

create function resource_front(pattern text, name text) returns text language sql immutable as $$
    select array_to_string((string_to_array(pattern, '/'))[1:length(name) - length(replace(name, '/', '')) + 1], '/')
$$;
comment on function resource_front(text, text) is 'The first parts of a pattern, as many as a name has.';

-- The rule of `domain::gate::resource::overlap`, which explains it.
create or replace function resource_matches(pattern text, name text) returns boolean language sql immutable as $$
    select (name like resource_like(pattern)
            and (position('**' in pattern) > 0
                 or length(replace(pattern, '/', '')) - length(pattern)
                  = length(replace(name, '/', '')) - length(name)))
        or case when position('**' in resource_front(pattern, name)) > 0
                then name like resource_like(split_part(resource_front(pattern, name), '**', 1) || '*')
                else length(resource_front(pattern, name)) < length(pattern)
                     and name like resource_like(resource_front(pattern, name)) end
$$;
comment on function resource_matches(text, text) is 'Whether a pattern with * or ? may cover a name without them, or something beneath it.';

create or replace function resources_overlap(a text, b text) returns boolean language sql immutable as $$
    select case
        when a = b then true
        when a !~ '[*?]' and b !~ '[*?]' then starts_with(a, b || '/') or starts_with(b, a || '/')
        when b !~ '[*?]' then resource_matches(a, b)
        when a !~ '[*?]' then resource_matches(b, a)
        else (
            select (starts_with(x.head, y.head) or starts_with(y.head, x.head))
               and right(x.tail, least(length(x.tail), length(y.tail)))
                 = right(y.tail, least(length(x.tail), length(y.tail)))
               and (x.deep or y.depth <= x.depth) and (y.deep or x.depth <= y.depth)
            from (select substring(p from '^[^*?]*') as head,
                         substring(replace(p, '**/', '**') from '[^*?]*$') as tail,
                         position('**' in p) > 0 as deep,
                         length(p) - length(replace(p, '/', ''))
                         - (length(p) - length(replace(p, '**/', ''))) / 3 as depth
                  from (values (a)) as v (p)) x,
                 (select substring(p from '^[^*?]*') as head,
                         substring(replace(p, '**/', '**') from '[^*?]*$') as tail,
                         position('**' in p) > 0 as deep,
                         length(p) - length(replace(p, '/', ''))
                         - (length(p) - length(replace(p, '**/', ''))) / 3 as depth
                  from (values (b)) as v (p)) y)
    end
$$;
