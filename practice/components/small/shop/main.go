// shop is the practice range's sample service: one page that says which half of the migration
// answered (legacy or kubernetes), and a health endpoint.
//
// SHOP_NAME is the word in the answer; SHOP_ADDR the address to listen on (host:port).
// SHOP_DRAIN is how long it goes on serving after SIGTERM (a Go duration, default 3s): an
// endpoint's removal reaches Envoy later than the signal reaches the pod, and a process that left
// at once would fail the requests in between.
// SHOP_CONFIG, if set, is a JSON file with one text, "notice", that every answer carries. It is
// read again when it changes. One that cannot be read is refused: the last good one stays, and
// GET /config answers 500 with the reason. Without a good one the program does not start.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	name, address := os.Getenv("SHOP_NAME"), os.Getenv("SHOP_ADDR")
	if name == "" || address == "" {
		log.Fatal("set SHOP_NAME (the word in the answer) and SHOP_ADDR (host:port)")
	}
	drain := 3 * time.Second
	if text := os.Getenv("SHOP_DRAIN"); text != "" {
		var err error
		if drain, err = time.ParseDuration(text); err != nil {
			log.Fatalf("SHOP_DRAIN %q is no duration such as 3s", text)
		}
	}
	settings := &config{path: os.Getenv("SHOP_CONFIG")}
	if err := settings.read(); err != nil {
		log.Fatalf("SHOP_CONFIG: %v", err)
	}
	go settings.follow()
	host, _ := os.Hostname()
	routes := http.NewServeMux()
	routes.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	routes.HandleFunc("GET /config", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := settings.now(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	routes.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		answer := map[string]string{"served_by": name, "instance": host}
		if notice, _ := settings.now(); notice != "" {
			answer["notice"] = notice
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	})
	server := &http.Server{Addr: address, Handler: routes, ReadHeaderTimeout: 5 * time.Second}

	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-stop.Done()
		time.Sleep(drain)
		finish, cancelFinish := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancelFinish()
		_ = server.Shutdown(finish)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-done
}
