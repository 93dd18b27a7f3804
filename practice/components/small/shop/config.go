package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sync"
	"time"
)

const lookEvery = time.Second

// config is a file that may change at any moment: a ConfigMap that the kubelet writes again.
type config struct {
	path string

	mu     sync.Mutex
	notice string // of the last good file
	wrong  error  // why the file that is there now is not it; nil when it is
}

// read takes the file up if it is good. No path means no file, and nothing to be wrong.
func (c *config) read() error {
	if c.path == "" {
		return nil
	}
	var found struct {
		Notice string `json:"notice"`
	}
	text, err := os.ReadFile(c.path)
	if err == nil {
		if err = json.Unmarshal(text, &found); err != nil {
			err = fmt.Errorf("%s cannot be read as JSON: %w", c.path, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.notice = found.Notice
	} else if c.wrong == nil {
		log.Printf("the last good configuration stays: %v", err)
	}
	c.wrong = err
	return err
}

// follow reads the file again and again. A mounted ConfigMap is exchanged as a whole by a symbolic
// link, which watches of single files miss; looking once a second misses nothing that lasts.
func (c *config) follow() {
	for range time.Tick(lookEvery) {
		_ = c.read()
	}
}

func (c *config) now() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.notice, c.wrong
}
