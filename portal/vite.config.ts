import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// The portal is the only part of Izumi that is built. During its development `vite portal` serves it and passes the API
// on to a server started with `npm run demo`.
export default defineConfig({
  plugins: [react()],
  build: { outDir: 'dist', emptyOutDir: true, target: 'es2022', chunkSizeWarningLimit: 900 },
  server: { proxy: { '/api': `http://127.0.0.1:${process.env.IZUMI_PORT ?? 8080}` } },
})
