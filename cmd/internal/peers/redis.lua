-- One charge, as someone who knows Redis well would write it.
--   KEYS  1 idempotency record   2 lots in burn order (sorted set)   3 what they hold (hash)   4 history (list)
--   ARGV  1 content hash (32 bytes)   2 key   3 meter   4 cost   5 now, in seconds, ten digits
-- A lot's name is "<priority>:<expires>:<lot>", fixed width, so that the order of names is the burn order.
local old = redis.call('GET', KEYS[1])
if old then
  if string.sub(old, 1, 32) ~= ARGV[1] then
    return 'conflict'
  end
  return 'replayed ' .. string.sub(old, 33)
end
local short, draws, first = tonumber(ARGV[4]), {}, 0
while short > 0 do
  local lots = redis.call('ZRANGE', KEYS[2], first, first + 7)
  if #lots == 0 then
    return 'insufficient'
  end
  first = first + #lots
  for _, lot in ipairs(lots) do
    if string.sub(lot, 3, 12) > ARGV[5] then
      local take = math.min(tonumber(redis.call('HGET', KEYS[3], lot)), short)
      if take > 0 then
        draws[#draws + 1] = lot
        draws[#draws + 1] = string.format('%d', take)
        short = short - take
        if short == 0 then
          break
        end
      end
    end
  end
end
for i = 1, #draws, 2 do
  redis.call('HINCRBY', KEYS[3], draws[i], '-' .. draws[i + 1])
end
local remaining = redis.call('HINCRBY', KEYS[3], 'remaining', '-' .. ARGV[4])
local answer = string.format('%d', remaining)
redis.call('SET', KEYS[1], ARGV[1] .. answer)
redis.call('RPUSH', KEYS[4], ARGV[2] .. ' ' .. ARGV[5] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. table.concat(draws, ' ') .. ' ' .. answer)
return 'recorded ' .. answer
