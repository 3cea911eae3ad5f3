package store

// WithLanes splits each primary's partitions over several pipelines.
func (o Options) WithLanes(count int) Options {
	o.lanesPerPrimary = count
	return o
}

// PartitionTags gives tests the tags of a number of partitions.
func PartitionTags(count int) []string { return partitionTags(count) }

// CRC16 gives tests the checksum behind the tags.
func CRC16(s string) uint16 { return crc16(s) }
