package store

import "strconv"

const (
	clusterSlots      = 16384
	defaultPartitions = 64
	maxPartitions     = 4096
)

// partition is one unit of sharding. Immutable.
type partition struct {
	tag         string
	prefix      string // of all its keys
	inboxPrefix string // of the inbox channels, up to the node's id
	heldPrefix  string // of the held sets, up to the node's id
}

func newPartitions(count int) []partition {
	partitions := make([]partition, count)
	for i, tag := range partitionTags(count) {
		partitions[i] = newPartition(tag)
	}
	return partitions
}

// partitionTags finds, for each partition, a short hash tag whose cluster slot lies in the middle of the
// partition's share of the slots: primaries that own equal runs of slots then own equal numbers of
// partitions. The tags are the first base-36 numbers that fit, so every node finds the same.
func partitionTags(count int) []string {
	wanted := make(map[uint16]int, count)
	for i := range count {
		wanted[uint16((2*i+1)*clusterSlots/(2*count))] = i
	}
	tags := make([]string, count)
	for candidate := int64(0); len(wanted) > 0; candidate++ {
		tag := strconv.FormatInt(candidate, 36)
		slot := crc16(tag) % clusterSlots
		if i, ok := wanted[slot]; ok {
			tags[i] = tag
			delete(wanted, slot)
		}
	}
	return tags
}

// partitionOf is FNV-1a, 64 bits, of "<app>/<room>", modulo the number of partitions.
func partitionOf(r Room, count int) int {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(r.App) {
		h = (h ^ uint64(r.App[i])) * prime
	}
	h = (h ^ '/') * prime
	for i := range len(r.Name) {
		h = (h ^ uint64(r.Name[i])) * prime
	}
	return int(h % uint64(count))
}

// crc16 is CRC-16/XMODEM (polynomial 0x1021, no reflection, initial value 0), which the Redis Cluster
// specification, section "Key distribution model", takes for hash slots.
func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
