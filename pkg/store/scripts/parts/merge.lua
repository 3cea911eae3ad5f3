-- Part of state and room.

-- Merges the pairs of ARGV from `first` on into a map, whose text is '' when empty. Values stay the raw JSON
-- text that came: none passes through a number or an empty table. Keys in `reserved` may not be set and do
-- not count. A limit of 0 is none. Returns the new text, or nil and the status.
local function merge(text, first, max_keys, max_bytes, reserved)
  local map = text and text ~= '' and cjson.decode(text) or {}
  for i = first, #ARGV, 2 do
    if reserved[ARGV[i]] then return nil, 'forbidden' end
    map[ARGV[i]] = ARGV[i + 1] ~= 'null' and ARGV[i + 1] or nil
  end
  local keys, bytes = 0, 0
  for key, value in pairs(map) do
    if not reserved[key] then keys, bytes = keys + 1, bytes + #key + #value end
  end
  if max_keys > 0 and keys > max_keys or max_bytes > 0 and bytes > max_bytes then return nil, 'too_large' end
  return next(map) and cjson.encode(map) or ''
end
