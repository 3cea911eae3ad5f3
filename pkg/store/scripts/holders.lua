-- holders: lists the nodes that hold seats in one partition, whether they are on the roster or not.
-- Safe to send again.
-- KEYS:  1 holders
-- Returns {'ok', {node, ...}}
-- Caller: Store.Holders
return {'ok', call('SMEMBERS', KEYS[1])}
